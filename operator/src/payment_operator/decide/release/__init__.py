"""The steps of a release, where its traffic goes, and what its pods and Jobs need."""
