"""What the node offers over gRPC: servicers, identity, bounds, status."""
