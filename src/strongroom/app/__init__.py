"""The only room that knows every concrete class: real clocks and chance meet the rooms here."""
