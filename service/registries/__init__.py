"""Where models are registered: their versions fetched, scored through the client, and the verdict written back.

mlflow is an extra (`pip install lesion[mlflow]`); the modules here that need it import it when they are asked to work.
"""
