"""The key agent: it alone holds the KEKs of compartments that demand it, and unwraps one record's key for one access record that stands."""
