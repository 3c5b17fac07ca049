"""Everything durable, under one folder or address. It knows neither Ray nor torch, nor any other room."""
