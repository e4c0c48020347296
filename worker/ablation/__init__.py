"""The heart: find what can be ablated, put masks there, run the masked network, draw the trials.

Pure: numpy, onnx, onnx-ir and onnxruntime. No file, no queue, no database; nothing else of ours is imported.
"""
