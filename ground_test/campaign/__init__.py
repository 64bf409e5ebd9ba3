"""Many simulations of one scenario: run in shards and processes, merged, reported. No Dask, no HTML, no Parquet yet."""
