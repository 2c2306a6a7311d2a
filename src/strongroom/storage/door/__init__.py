"""Azure's protocol at the door: requests and answers, who asks and with what."""
