"""The page in the browser, `kernelgan-jax web`: the command's pipeline behind Gradio.

`cli` reads the flags and serves, `page` has the form, `work` runs the pipeline on what
was dropped, `sessions` keeps the files of each open page until it is closed, `render`
writes the HTML of the results.
"""
