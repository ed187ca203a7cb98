"""How every room looks and behaves: layout, controls, and what happens when a button is pressed."""

import os

# Before gradio, torch, transformers or diffusers is imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing leaves the machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # or idle threads of torch spin on busy cores
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # they warn of what is right here
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
