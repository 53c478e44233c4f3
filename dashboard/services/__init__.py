"""What pages ask for, in plain Python: no Streamlit here, so that everything is tested without a browser."""
