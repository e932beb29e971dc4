// placeholder until the element is written
