"""The page: a viewer over run folders and a form over the options. The only package that knows Gradio."""
