"""`make story-keys`: governance and keys told as a story, with the commands that people would type, at real sites; each chapter checks what it shows."""
