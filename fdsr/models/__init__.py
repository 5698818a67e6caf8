"""Networks (backbones, discriminators), losses, and the restorers that train them."""
