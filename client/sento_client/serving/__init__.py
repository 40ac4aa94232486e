"""What the services of ministries share, the pseudonym service and the key agent: certificates that follow their files, a log flushed before answers."""
