"""What looks after a store: checks it, prunes it, bundles it, and imports what other software has logged."""
