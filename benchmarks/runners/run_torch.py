"""Runs the textbook training step: a dense batch, linear layers, log_softmax, Adam; see common.py."""

import common
import torch
import torch.nn.functional as F
from torch import nn


class VAE(nn.Module):
    def __init__(self, n_items, hidden, n_components):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(n_items, hidden), nn.Tanh(), nn.Linear(hidden, 2 * n_components))
        self.decoder = nn.Sequential(nn.Linear(n_components, hidden), nn.Tanh(), nn.Linear(hidden, n_items))

    def forward(self, x):
        mean, log_variance = self.encoder(F.dropout(F.normalize(x))).chunk(2, dim=1)
        code = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
        return (0.2 * kl - (F.log_softmax(self.decoder(code), 1) * x).sum(1)).mean()


class DAE(nn.Module):
    def __init__(self, n_items, n_components):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(n_items, n_components), nn.Linear(n_components, n_items)

    def forward(self, x):
        code = torch.tanh(self.encoder(F.dropout(F.normalize(x))))
        return -(F.log_softmax(self.decoder(code), 1) * x).sum(1).mean()


def fit(X, parameters, clock):
    torch.manual_seed(0)
    sizes = dict(parameters)
    model, batch_size = {"VAE": VAE, "DAE": DAE}[sizes.pop("model")], sizes.pop("batch_size")
    model = model(X.shape[1], **sizes)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    clock.start()
    while True:
        for users in torch.randperm(X.shape[0]).split(batch_size):
            optimizer.zero_grad()
            model(torch.from_numpy(X[users.numpy()].toarray())).backward()
            optimizer.step()
        if clock.epoch_ended():
            return model


if __name__ == "__main__":
    common.main(fit)
