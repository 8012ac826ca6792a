"""What others reach on the same machine in the same run: figures travel badly, ratios travel well."""
