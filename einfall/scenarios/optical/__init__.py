"""What 4f optical systems are worth: networks, regions and break-even points against GPUs."""
