"""The user interface that all rooms share: layout, controls and events."""

import os

# Before gradio, torch, transformers or diffusers is imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing leaves the machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle torch threads must not spin
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # their warnings are false alarms here
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
