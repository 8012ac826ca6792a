"""What of the Helm chart is made from the code: the schema of its values, and the table in its README."""
