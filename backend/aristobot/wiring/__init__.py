"""The one place where parts are joined: each terminal has its module here, called by its command."""
