"""From other libraries' models and data to a project, one library a file."""
