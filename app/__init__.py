"""The screens: what a person sees and touches. May import compression, never the other way round."""
