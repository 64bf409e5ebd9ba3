"""Strip -> tiles -> inference -> stitch -> class map."""
