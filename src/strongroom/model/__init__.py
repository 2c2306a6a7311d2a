"""Words and rules, pure: time, chance and bytes are arguments. Every room may read this one."""
