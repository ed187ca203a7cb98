"""Training a model while a visitor watches.

process.py  the training script as a process of its own, and the line of those who wait for one
story.py    what its reports tell
film.py     its pictures and curves as HTML
tab.py      the tab "Train one" (Gradio)
"""
