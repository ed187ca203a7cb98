"""Training a model while a visitor watches.

process.py  runs the training script in a subprocess; one training at a time
log.py      collects its reports into pictures, curves and sentences
film.py     shows pictures and curves as HTML
tab.py      the tab "Train one" (Gradio)
"""
