"""What docs/asyncapi.yaml is made of; `tools.asyncapi_page` puts it together."""
