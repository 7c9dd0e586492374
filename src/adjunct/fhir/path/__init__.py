"""FHIRPath over plain JSON of R4: `compile_path(text, start)` once, then call it on each resource."""
