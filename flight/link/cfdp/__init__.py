"""File delivery (CCSDS 727.0-B-5), class 2: files that arrive whole over a link that loses, repeats and pauses."""
