"""What one run is: its events, its resources and its bodies."""
