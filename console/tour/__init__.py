"""The first ten minutes: store, break, judge, fix, kill, prove, each with the ordinary buttons."""
