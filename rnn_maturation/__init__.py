"""Train recurrent networks on the eye-movement tasks of prefrontal research and follow how their units mature."""
