"""Parts of pages that several rooms share."""
