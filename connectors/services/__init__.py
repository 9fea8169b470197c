"""Services that are asked over HTTP, or that hand over batches themselves: REST, SOAP and push."""
