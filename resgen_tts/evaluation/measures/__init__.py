"""What is counted and how sure it is: formulae on words, voice prints, spectra and features; no models."""
