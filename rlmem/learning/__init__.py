"""Learners of sequences: any cell, any derivative (BPTT, RTRL, ...), any update (Adam, Kalman filters, ...)."""
