"""`crown images`. The domain code is in crown/product_images."""
