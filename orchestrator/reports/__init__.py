"""What a person is shown of a plan and of a run: tables, matrices and pages, without the command line around them."""
