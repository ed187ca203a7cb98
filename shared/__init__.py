"""What every room of the gallery uses. Imports point down only; see CONTRIBUTING.md."""
