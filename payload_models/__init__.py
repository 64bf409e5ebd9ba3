"""The applications: manifest schema and loader, ONNX graphs, model cards, training recipes, golden cases."""
