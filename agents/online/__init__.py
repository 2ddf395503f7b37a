"""Agents that learn online: EKF and RTRL controllers, DAgger, and training through a learned model."""
