"""Who is signed in to the pages: links that open a session once, and the sessions themselves."""
