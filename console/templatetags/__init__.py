"""Words of the visual language, for templates."""
