"""The processes of this machine: started, looked at, built anew."""
