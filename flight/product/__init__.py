"""The product's codec and seal, and its export to GeoJSON, GeoTIFF and PNG."""
