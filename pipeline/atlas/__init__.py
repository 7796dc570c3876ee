"""The page: what lies in a model's tile folder becomes one self-contained HTML file."""
