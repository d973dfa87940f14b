"""One option for each layer, so that the whole keeps to its limits and loses as little as tables of single layers can tell."""
