"""Systems for sequences that FlexTCN is compared with: [B, C, T] -> [B, classes] logits, read at the last step."""
