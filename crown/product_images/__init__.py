"""Product pictures from inbox to production: names, cut-outs, review, renditions, publishing."""
