"""One attempt, in whichever process: claim, heartbeat, produce, settle; streams run here too."""
